// pg-boss on the same cluster, tuned as its documentation says: batches, fetched again at once while they come full, and LISTEN where latency counts.
// boss.mjs throughput <jobs> | latency <per second> <seconds>
import { PgBoss } from "pg-boss";

const [mode, amount, seconds] = process.argv.slice(2);
const isLatency = mode === "latency";
const boss = new PgBoss({ connectionString: process.env.QUEUES_URL, max: 10, useListenNotify: isLatency });
boss.on("error", console.error);
await boss.start();
await boss.createQueue(mode, { notify: isLatency });
await boss.deleteAllJobs(mode);

const latencies = [];
let [done, first, last] = [0, 0n, 0n];
const work = (options) =>
  boss.work(mode, options, async (jobs) => {
    if (done === 0) first = process.hrtime.bigint();
    done += jobs.length;
    last = process.hrtime.bigint();
    for (const { data } of jobs) if (data?.at) latencies.push(Date.now() - data.at);
  });
const until = async (total) => {
  while (done < total) await new Promise((resolve) => setTimeout(resolve, 20));
};

if (isLatency) {
  await work({ batchSize: 100, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 });
  const total = Number(amount) * Number(seconds);
  for (let sent = 0; sent < total; sent++) {
    void boss.send(mode, { at: Date.now() });
    await new Promise((resolve) => setTimeout(resolve, 1000 / Number(amount)));
  }
  await until(total);
  latencies.sort((a, b) => a - b);
  console.log(latencies[Math.floor(latencies.length * 0.99)]);
} else {
  const jobs = Number(amount);
  await boss.insert(mode, Array.from({ length: jobs }, () => ({ data: {} })));
  await boss.getDb().executeSql("vacuum (analyze) pgboss.job_common", []);
  await work({ batchSize: 500, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 });
  await until(jobs);
  console.log(Math.round(jobs / (Number(last - first) / 1e9)));
}
await boss.stop({ graceful: true });
process.exit(0);
