// The least that Node needs for an answer: an embedding and a chat completion from the same server that the program asks, and
// nothing of what the program does between them. MODEL_ADDRESS in, the port on standard output.

import http from 'node:http';

const model = new URL(process.env.MODEL_ADDRESS);
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const SYSTEM = 'Answer from the documents and cite them.';

const post = (path, body) =>
  new Promise((resolve, reject) => {
    const data = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) };
    const options = { agent, host: model.hostname, port: model.port, path: model.pathname + path, method: 'POST', headers };
    http.request(options, resolve).on('error', reject).end(data);
  });

async function text(stream) {
  let all = '';
  stream.setEncoding('utf8');
  for await (const part of stream) all += part;
  return all;
}

async function ask(question, stream) {
  const asked = { model: 'fake', input: question, encoding_format: 'base64' };
  const embedding = JSON.parse(await text(await post('/embeddings', asked)));
  const bytes = Buffer.from(embedding.data[0].embedding, 'base64');
  const numbers = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  if (!numbers.length) throw new Error('no embedding');
  const messages = [{ role: 'system', content: SYSTEM }, { role: 'user', content: question }];
  return post('/chat/completions', { model: 'fake', stream, messages });
}

async function* words(question) {
  const response = await ask(question, true);
  response.setEncoding('utf8');
  let rest = '';
  for await (const part of response) {
    const lines = (rest + part).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data: {')) continue;
      for (const choice of JSON.parse(line.slice(6)).choices) if (choice.delta.content) yield choice.delta.content;
    }
  }
}

const server = http.createServer(async (request, response) => {
  const question = JSON.parse(await text(request)).message;
  if (request.url === '/api/chat') {
    const answer = JSON.parse(await text(await ask(question, false)));
    const body = JSON.stringify({ response: answer.choices[0].message.content });
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    return;
  }
  response.writeHead(200, { 'content-type': 'application/jsonl' });
  for await (const word of words(question)) response.write(`${JSON.stringify({ delta: { content: word } })}\n`);
  response.end();
});
server.listen(0, '127.0.0.1', 1024, () => console.log(server.address().port));
