"use strict";
// Runs a handler written for Lambda's Node.js runtimes: finds it, fetches events from the Runtime API
// and answers them. In the order of AWS's own client: a handler may be async, return a promise, call
// back, or let the event loop run empty.

const http = require("node:http");
const path = require("node:path");
const fs = require("node:fs");
const util = require("node:util");
const { Writable } = require("node:stream");
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");

// `node -e` makes these global, where a module of the handler would find them.
for (const leaked of ["require", "module", "exports", "__filename", "__dirname"]) delete globalThis[leaked];

const API = "/2018-06-01/runtime/";
const taskRoot = process.env.LAMBDA_TASK_ROOT;
const address = process.env.AWS_LAMBDA_RUNTIME_API;
const major = process.versions.node.split(".")[0];
process.env.AWS_EXECUTION_ENV ??= `AWS_Lambda_nodejs${major}.x`;

// The server holds the other end of this pipe and never writes to it: its end means that the server
// is gone, and that nobody else will stop this process group.
function endWithTheServer() {
  if (process.env.OUTCROP_LIFELINE === undefined) return;
  delete process.env.OUTCROP_LIFELINE;
  process.stdin.on("end", () => process.kill(0, "SIGKILL"));
  process.stdin.on("error", () => process.kill(0, "SIGKILL"));
  process.stdin.resume();
  process.stdin.unref();
}

// Runtime API ---------------------------------------------------------------------------------------

const separator = address.lastIndexOf(":");
const target = { host: address.slice(0, separator), port: Number(address.slice(separator + 1)) };
// Idle sockets of an agent do not keep the process alive, so an event loop without the handler's own
// work runs empty.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1, noDelay: true });

function request(method, name, body, headers) {
  return new Promise((resolve, reject) => {
    const options = { ...target, method, path: API + name, agent, headers: { ...headers } };
    if (body !== undefined) options.headers["content-length"] = Buffer.byteLength(body);
    const sent = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const content = Buffer.concat(parts).toString("utf8");
        const { statusCode } = response;
        if (statusCode === 413 || (statusCode >= 200 && statusCode < 300)) {
          resolve({ content, headers: response.headers });
        } else {
          reject(new Error(`the runtime api answered ${statusCode}: ${content}`));
        }
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const JSON_TYPE = { "content-type": "application/json" };

function postError(name, error) {
  const described = describe(error);
  const headers = { ...JSON_TYPE, "lambda-runtime-function-error-type": described.errorType };
  return request("POST", name, JSON.stringify(described), headers);
}

function describe(error) {
  if (util.types.isNativeError(error) || error instanceof Error) {
    // The frames of this file tell nobody anything.
    const trace = (error.stack ?? "").split("\n").filter((line) => !/^ +at .*\[eval\]/.test(line));
    return { errorType: error.name, errorMessage: error.message, trace };
  }
  const text = typeof error === "string" ? error : JSON.stringify(error) ?? String(error);
  return { errorType: typeof error, errorMessage: text, trace: [] };
}

class RuntimeError extends Error {
  constructor(name, message, cause) {
    super(message);
    this.name = name;
    if (cause?.stack) this.stack = `${name}: ${message}\n${cause.stack}`;
  }
}

// Log -----------------------------------------------------------------------------------------------

let requestId;

// Lambda's own form: time, request, level, text, divided by tabs; one event a line.
function patchConsole() {
  const levels = { log: "INFO", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG", trace: "TRACE" };
  for (const [method, level] of Object.entries(levels)) {
    console[method] = (...values) => {
      let text = util.format(...values);
      if (method === "trace") {
        const here = { name: "Trace", message: text };
        Error.captureStackTrace(here, console.trace);
        text = here.stack;
      }
      logLine(level, text);
    };
  }
}

function logLine(level, text) {
  const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${text}`;
  write(1, line.replaceAll("\n", "\r") + "\n");
}

// In one go and at once: what was printed before an answer is read before the answer, and a handler
// that exits loses nothing.
function write(descriptor, text) {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") return;
    }
  }
}

function logFault(title, error) {
  const { errorType, errorMessage, trace } = describe(error);
  const text = trace.length > 0 ? trace.join("\n") : `${errorType}: ${errorMessage}`;
  logLine("ERROR", `${title} ${text}`);
}

// Handler -------------------------------------------------------------------------------------------

// `folder/module.property`, `property` possibly with further dots.
function splitHandler(text) {
  const folder = path.dirname(text);
  const base = path.basename(text);
  const dot = base.indexOf(".");
  if (dot <= 0 || dot === base.length - 1 || text.includes("..")) {
    throw new RuntimeError("Runtime.MalformedHandlerName", `Bad handler: '${text}' is not module.function`);
  }
  return { module: path.join(folder, base.slice(0, dot)), properties: base.slice(dot + 1).split(".") };
}

function isModulePackage(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")).type === "module";
    } catch (error) {
      if (error.code !== "ENOENT") return false;
    }
    if (folder === taskRoot || folder === path.dirname(folder)) return false;
  }
}

async function importModule(name) {
  const stem = path.resolve(taskRoot, name);
  const require = createRequire(path.join(taskRoot, "noop.js"));
  // AWS's order: a file without an ending, then .js, .mjs, .cjs, then a package of node_modules.
  const plain = stem + ".js";
  if (fs.existsSync(stem) && fs.statSync(stem).isFile()) return require(stem);
  if (fs.existsSync(plain)) {
    return isModulePackage(plain) ? import(pathToFileURL(plain).href) : require(plain);
  }
  if (fs.existsSync(stem + ".mjs")) return import(pathToFileURL(stem + ".mjs").href);
  if (fs.existsSync(stem + ".cjs")) return require(stem + ".cjs");
  return require(require.resolve(name, { paths: [taskRoot] }));
}

async function loadHandler(text) {
  const { module, properties } = splitHandler(text);
  let loaded;
  try {
    loaded = await importModule(module);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new RuntimeError("Runtime.UserCodeSyntaxError", String(error), error);
    }
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw new RuntimeError("Runtime.ImportModuleError", `Error: ${error.message}`, error);
    }
    throw error;
  }
  const find = (from) => properties.reduce((owner, property) => owner?.[property], from);
  // A CommonJS module seen through `import` has its exports under `default`.
  const handler = find(loaded) ?? find(loaded?.default);
  if (handler === undefined || handler === null) {
    throw new RuntimeError("Runtime.HandlerNotFound", `${text} is undefined or not exported`);
  }
  if (typeof handler !== "function") {
    throw new RuntimeError("Runtime.HandlerNotFound", `${text} is not a function`);
  }
  return handler;
}

// Invocations ---------------------------------------------------------------------------------------

function parsed(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`Cannot parse ${name} as json: ${text}`);
  }
}

function contextOf(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    clientContext: parsed(headers["lambda-runtime-client-context"], "ClientContext"),
    identity: parsed(headers["lambda-runtime-cognito-identity"], "CognitoIdentity"),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// What ends the open invocation when nothing of the handler's own does.
let settleOpen;

// Runs one handler to its value. With a callback, and unless the handler says otherwise, the value
// counts once the event loop has nothing left to do.
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    let waiting;
    settleOpen = {
      empty: () => (waiting ? waiting() : resolve(null)),
      fail: reject,
    };
    const callback = (error, value) => {
      if (waiting) return;
      waiting = error === undefined || error === null ? () => resolve(value) : () => reject(error);
      if (!context.callbackWaitsForEmptyEventLoop) setImmediate(waiting);
    };
    const now = (error, value) => {
      context.callbackWaitsForEmptyEventLoop = false;
      callback(error, value);
    };
    context.done = now;
    context.succeed = (value) => now(null, value);
    context.fail = (error) => now(error ?? "handled");
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    // Fewer than three parameters and no promise: the value of a plain function counts nowhere in
    // Lambda either; its event loop decides.
  });
}

// Handlers that stream their response mark themselves. No caller here reads a stream, and to those
// Lambda gives everything that was written, joined and as it is.
const STREAMS = Symbol("streams");

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMS] = true;
    return handler;
  },
};

class ResponseStream extends Writable {
  written = [];

  _write(part, encoding, done) {
    this.written.push(part);
    done();
  }

  setContentType() {}

  get text() {
    return Buffer.concat(this.written).toString("utf8");
  }
}

// Ends with the stream; a handler that forgets to end it has the event loop run empty.
function collect(handler, event, context) {
  return new Promise((resolve, reject) => {
    const stream = new ResponseStream();
    settleOpen = { empty: () => resolve(stream.text), fail: reject };
    stream.on("finish", () => resolve(stream.text));
    stream.on("error", reject);
    const returned = handler(event, stream, context);
    if (typeof returned?.then === "function") returned.then(undefined, reject);
  });
}

function serialised(value) {
  try {
    return JSON.stringify(value === undefined ? null : value) ?? "null";
  } catch (error) {
    throw new RuntimeError("Runtime.MarshalError", `Unable to stringify response body: ${error.message}`, error);
  }
}

async function serveOne(handler) {
  const { content, headers } = await request("GET", "invocation/next");
  requestId = headers["lambda-runtime-aws-request-id"];
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  const own = `invocation/${requestId}/`;
  let body;
  try {
    const event = JSON.parse(content);
    const context = contextOf(headers);
    body = handler[STREAMS] ? await collect(handler, event, context) : serialised(await run(handler, event, context));
  } catch (error) {
    logFault("Invoke Error", error);
    await postError(own + "error", error);
    return;
  } finally {
    settleOpen = undefined;
  }
  await request("POST", own + "response", body, JSON_TYPE);
}

async function main() {
  endWithTheServer();
  patchConsole();
  // What nobody catches ends the process in Lambda too, after it has been reported.
  const fatal = (type, error) => {
    const fault = type ? new RuntimeError(type, `${error?.name ?? "Error"}: ${error?.message ?? error}`, error) : error;
    logFault(type ? "Unhandled Promise Rejection" : "Uncaught Exception", fault);
    const name = settleOpen ? `invocation/${requestId}/error` : "init/error";
    postError(name, fault).finally(() => process.exit(settleOpen ? 128 : 129));
  };
  process.on("uncaughtException", (error) => fatal(undefined, error));
  process.on("unhandledRejection", (error) => fatal("Runtime.UnhandledPromiseRejection", error));
  process.on("beforeExit", () => {
    // The open invocation's event loop has run empty.
    if (settleOpen) setImmediate(settleOpen.empty);
  });
  let handler;
  try {
    handler = await loadHandler(process.env._HANDLER);
  } catch (error) {
    logFault("Init Error", error);
    await postError("init/error", error);
    process.exit(1);
  }
  for (;;) await serveOne(handler);
}

main().catch((error) => {
  logFault("Runtime Error", error);
  process.exit(1);
});
