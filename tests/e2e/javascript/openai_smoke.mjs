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

const runner = client.chat.completions.stream({
  model: "p_gemini/echo", messages, tools: [tool], tool_choice: "required",
});
seen.toolStreamed = (await runner.finalChatCompletion()).choices[0].message.tool_calls[0].function.name;

const message = called.choices[0].message;
const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "rain, 4 C" }));
const answered = await client.chat.completions.create({
  model: "p_cohere/echo", messages: [...messages, message, ...results], tools: [tool], tool_choice: "none",
});
seen.answered = answered.choices[0].finish_reason;

const format = { type: "json_schema", name: "place", schema, strict: true };
const formatted = await client.responses.create({ model: "p_gemini/echo", input: "hi", text: { format } });
seen.formatted = typeof JSON.parse(formatted.output_text).city;
const used = await client.responses.create({
  model: "p_anthropic/echo", input: "hi", tool_choice: "required",
  tools: [{ type: "function", name: "weather", parameters: schema, strict: false }],
});
seen.responseTool = used.output.filter((item) => item.type === "function_call").map((item) => item.name);

const refusals = [
  { model: "nobody/m" }, { temperature: "hot" }, { messages: [] }, { wibble: 1 }, { model: "p_openai/broken" },
  { model: "p_openai/long" },
];
seen.errors = [];
for (const wrong of refusals) {
  try {
    await client.chat.completions.create({ model: "p_openai/echo", messages, ...wrong });
  } catch (error) {
    seen.errors.push([error.constructor.name, error.status, error.code, error.param]);
  }
}
try {
  await new OpenAI({ baseURL, apiKey: "mb_live_wrong", maxRetries: 0 }).models.list();
} catch (error) {
  seen.errors.push([error.constructor.name, error.status, error.code, error.param]);
}
try {
  for await (const _ of await client.chat.completions.create({ model: "p_openai/cut", messages, stream: true }));
} catch (error) {
  seen.cut = [error.constructor.name, error.code];
}
console.log(JSON.stringify(seen));
