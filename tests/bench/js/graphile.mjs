// graphile-worker on the same cluster, tuned as its documentation says: a local queue, and completion in batches.
// graphile.mjs throughput <jobs> | latency <per second> <seconds>
import { run } from "graphile-worker";
import pg from "pg";

const [mode, amount, seconds] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: process.env.QUEUES_URL, max: 10 });
pool.on("error", () => {});
pool.on("connect", (client) => client.on("error", () => {}));
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const logger = { scope: () => logger, ...quiet };

const latencies = [];
let [done, first, last] = [0, 0n, 0n];
const start = (preset) =>
  run({
    preset: { worker: { pgPool: pool, concurrentJobs: 24, pollInterval: 2000, completeJobBatchDelay: 0, failJobBatchDelay: 0, ...preset } },
    pgPool: pool,
    noHandleSignals: true,
    logger,
    taskList: {
      noop: (payload) => {
        if (done++ === 0) first = process.hrtime.bigint();
        last = process.hrtime.bigint();
        if (payload.at) latencies.push(Date.now() - payload.at);
      },
    },
  });

const migrated = await start({});
await migrated.stop();
if (mode === "throughput") {
  const jobs = Number(amount);
  await pool.query("select graphile_worker.add_job('noop', '{}') from generate_series(1, $1::int)", [jobs]);
  // Without it its query is planned for an empty table: a hundred times slower, until autovacuum comes by.
  await pool.query("analyze graphile_worker._private_jobs");
  const runner = await start({ localQueue: { size: 500 } });
  while (done < jobs) await new Promise((resolve) => setTimeout(resolve, 20));
  await runner.stop();
  console.log(Math.round(jobs / (Number(last - first) / 1e9)));
} else {
  const runner = await start({});
  const total = Number(amount) * Number(seconds);
  for (let sent = 0; sent < total; sent++) {
    const due = 1000 / Number(amount);
    void pool.query("select graphile_worker.add_job('noop', json_build_object('at', $1::float8))", [Date.now()]);
    await new Promise((resolve) => setTimeout(resolve, due));
  }
  while (done < total) await new Promise((resolve) => setTimeout(resolve, 20));
  await runner.stop();
  latencies.sort((a, b) => a - b);
  console.log(latencies[Math.floor(latencies.length * 0.99)]);
}
await pool.end();
process.exit(0);
