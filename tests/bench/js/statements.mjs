// What graphile-worker and pg-boss send to Postgres, as scripts for pgbench: so that no process of Node is what is measured. Each library is asked to do the thing
// once, and the statements that it sends are written down; only their parameters are filled in.
// statements.mjs <folder> <jobs of a bulk> <jobs of a claim>
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { PgBoss } from "pg-boss";

const [folder, bulk, claim] = process.argv.slice(2);
const connectionString = process.env.QUEUES_URL;

// Both send through this method.
const sent = [];
const query = pg.Client.prototype.query;
pg.Client.prototype.query = function (statement, ...rest) {
  sent.push({ text: statement.text ?? statement, values: statement.values ?? (Array.isArray(rest[0]) ? rest[0] : []) });
  return query.call(this, statement, ...rest);
};
const during = async (action) => {
  sent.length = 0;
  await action();
  return [...sent];
};

// pgbench takes a colon and a letter for one of its variables.
const literal = (value) => (value == null ? "null" : `'${String(value).replaceAll("'", "''").replaceAll('":', '": ')}'`);
const filled = ({ text, values }, given = {}) =>
  text.replace(/\$(\d+)/g, (_, number) => given[number] ?? literal(values[number - 1])).replace(/[;\s]*$/, "");
const write = (name, ...statements) => writeFileSync(join(folder, `${name}.sql`), statements.join("\n"));
// Takes what a statement with a `with` returns as one row, its ids, into pgbench's variable.
const ids = (statement) =>
  `${statement.replace(/\)\s+(update [\s\S]*)$/i, "), claimed as (\n$1\n)")} select coalesce(array_agg(id), '{}')::text as ids from claimed \\gset`;
const many = (make) => Array.from({ length: Number(bulk) }, make);

const boss = new PgBoss({ connectionString });
boss.on("error", console.error);
await boss.start();
await boss.createQueue("noop");
const [send] = await during(() => boss.send("noop", {}));
const [insert] = await during(() => boss.insert("noop", many(() => ({ data: {} }))));
let fetched;
const [fetch] = await during(async () => (fetched = await boss.fetch("noop", { batchSize: Number(claim) })));
const [complete] = await during(() => boss.complete("noop", fetched.map(({ id }) => id)));
await boss.stop();
write("boss_emit", `${filled(send)};`);
write("boss_bulk", `${filled(insert)};`);
write("boss_claim", ids(filled(fetch)), `${filled(complete, { 2: ":ids" })};`);

const pool = new pg.Pool({ connectionString });
pool.on("error", () => {});
pool.on("connect", (client) => client.on("error", () => {}));
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const logger = { scope: () => logger, ...quiet };
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const [addJob] = await during(() => utils.addJob("noop", {}));
const [addJobs] = await during(() => utils.addJobs(many(() => ({ identifier: "noop", payload: {} }))));
let done = 0;
const worked = await during(async () => {
  const worker = { pgPool: pool, completeJobBatchDelay: 0, failJobBatchDelay: 0, concurrentJobs: 24, localQueue: { size: Number(claim) } };
  const taskList = { noop: () => void done++ };
  const runner = await run({ preset: { worker }, pgPool: pool, noHandleSignals: true, logger, taskList });
  while (done <= Number(bulk)) await new Promise((resolve) => setTimeout(resolve, 20));
  await runner.stop();
});
const getJobs = worked.find(({ text }) => text.includes(`limit ${claim}`));
const completeJobs = worked.find(({ text }) => text.startsWith("delete from"));
write("graphile_emit", `${filled(addJob)};`);
write("graphile_bulk", `${filled(addJobs)};`);
const claimed = filled(getJobs, { 2: `'{${getJobs.values[1]}}'` }).replace(/returning \*$/, "returning jobs.id");
write("graphile_claim", ids(claimed), `${filled(completeJobs, { 1: ":ids" })};`);
await pool.end();
process.exit(0);
