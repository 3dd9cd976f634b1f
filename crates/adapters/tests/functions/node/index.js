// One handler for each way in which a Node.js handler may answer, or not.

console.log("imported");

exports.describe = async (event, context) => ({
  event,
  id: context.awsRequestId,
  arn: context.invokedFunctionArn,
  name: context.functionName,
  memory: context.memoryLimitInMB,
  custom: context.clientContext.custom,
  inTime: context.getRemainingTimeInMillis() > 0,
  cwd: process.cwd(),
  helper: require("./helper.cjs").name,
  installed: require("greeting"),
  pid: process.pid,
});

exports.calls = (event, context, callback) => {
  setTimeout(() => callback(null, { called: event }), 2);
};

exports.refuses = (event, context, callback) => callback(new TypeError("no such order"));

exports.throws = async () => {
  console.error("about to\nfail");
  throw new RangeError("too far");
};

exports.nothing = () => {};

exports.succeeds = (event, context) => context.succeed("done");

exports.loses = async () => {
  Promise.reject(new Error("lost"));
  await new Promise((resolve) => setTimeout(resolve, 10_000));
};

exports.circular = async () => {
  const circle = {};
  circle.circle = circle;
  return circle;
};

exports.leaves = async () => process.exit(4);

exports.loops = () => {
  for (;;);
};

exports.streams = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType("application/json");
  stream.write(JSON.stringify({ asked: event }));
  await new Promise((resolve) => setTimeout(resolve, 2));
  stream.write(JSON.stringify({ id: context.awsRequestId.length }));
  stream.end();
});

exports.streamsAndThrows = awslambda.streamifyResponse(async (event, stream) => {
  stream.write("half");
  throw new RangeError("no more");
});
