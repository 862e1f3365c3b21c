// What an application does with the official SDK, against a running gateway. Prints what it saw as JSON.
// Arguments: folder of the SDK, base URL, key.
const [, , sdk, baseURL, apiKey] = process.argv;
const { default: Anthropic } = await import(`${sdk}/index.mjs`);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const asked = { max_tokens: 100, messages };
const seen = {};

const { data, response } = await client.messages.create({ ...asked, model: "p_gemini/echo" }).withResponse();
seen.message = [data.content[0].text, response.headers.get("x-modelbridge-model")];

const stream = client.messages.stream({ ...asked, model: "p_openai/echo" });
seen.streamed = "";
stream.on("text", (text) => { seen.streamed += text; });
const final = await stream.finalMessage();
seen.ended = [final.stop_reason, final.usage.output_tokens > 0];

const tools = [{ name: "weather", input_schema: schema }];
const called = await client.messages.create({ ...asked, model: "p_cohere/echo", tools, tool_choice: { type: "any" } });
const use = called.content.find((block) => block.type === "tool_use");
seen.tool = [called.stop_reason, use.name];
const result = { type: "tool_result", tool_use_id: use.id, content: "rain, 4 C" };
const again = await client.messages.create({
  ...asked, model: "p_cohere/echo", tools,
  messages: [...messages, { role: "assistant", content: called.content }, { role: "user", content: [result] }],
});
seen.answered = again.stop_reason;

const shaped = await client.messages.create({
  ...asked, model: "p_anthropic/echo", output_config: { format: { type: "json_schema", schema } },
});
seen.shaped = typeof JSON.parse(shaped.content[0].text).city;

seen.counted = (await client.messages.countTokens({ model: "p_openai/echo", messages })).input_tokens;
seen.models = [];
for await (const model of client.models.list()) seen.models.push(model.id);

const refusals = [
  { model: "nobody/m" }, { max_tokens: 0 }, { model: "p_openai/broken" }, { temperature: "hot" }, { wibble: 1 },
];
seen.errors = [];
for (const wrong of refusals) {
  try {
    await client.messages.create({ ...asked, model: "p_openai/echo", ...wrong });
  } catch (error) {
    seen.errors.push([error.constructor.name, error.status, error.error.error.type]);
  }
}
try {
  await new Anthropic({ baseURL, apiKey: "mb_live_wrong", maxRetries: 0 }).messages.create({ ...asked, model: "x/y" });
} catch (error) {
  seen.errors.push([error.constructor.name, error.status, error.error.error.type]);
}
try {
  await client.messages.stream({ ...asked, model: "p_openai/cut" }).finalMessage();
} catch (error) {
  seen.cut = error.constructor.name;
}
console.log(JSON.stringify(seen));
