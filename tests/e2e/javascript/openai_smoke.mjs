// What an application does with the official SDK, against a running gateway. Prints what it saw as JSON.
// Arguments: folder of the SDK, base URL, key.
const [, , sdk, baseURL, apiKey] = process.argv;
const { default: OpenAI } = await import(`${sdk}/index.mjs`);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const seen = {};

const { data, response } = await client.chat.completions.create({ model: "p_gemini/echo", messages }).withResponse();
seen.chat = [data.choices[0].message.content, response.headers.get("x-modelbridge-model")];

seen.streamed = "";
const options = { include_usage: true };
for await (const chunk of await client.chat.completions.create({
  model: "p_anthropic/echo", messages, stream: true, stream_options: options,
})) {
  seen.streamed += chunk.choices[0]?.delta?.content ?? "";
  seen.tokens = chunk.usage?.total_tokens ?? seen.tokens;
}

const tool = { type: "function", function: { name: "weather", parameters: schema } };
const called = await client.chat.completions.create({
  model: "p_cohere/echo", messages, tools: [tool], tool_choice: "required",
});
seen.tool = [called.choices[0].finish_reason, called.choices[0].message.tool_calls[0].function.name];

const shaped = await client.chat.completions.create({
  model: "p_openai/echo", messages,
  response_format: { type: "json_schema", json_schema: { name: "place", schema, strict: true } },
});
seen.shaped = typeof JSON.parse(shaped.choices[0].message.content).city;

seen.response = (await client.responses.create({ model: "p_ollama/echo", input: "hi" })).output_text;
const stream = client.responses.stream({ model: "p_ollama/echo", input: "hi" });
seen.responseStreamed = (await stream.finalResponse()).output_text;

const embedded = await client.embeddings.create({ model: "local/wordllama", input: ["ice", "fire"] });
seen.vectors = embedded.data.map((item) => item.embedding.length);

seen.models = [];
for await (const model of client.models.list()) seen.models.push(model.id);

try {
  await client.chat.completions.create({ model: "nobody/m", messages });
} catch (error) {
  seen.error = [error.constructor.name, error.status, error.code, error.param];
}
console.log(JSON.stringify(seen));
