import { Injectable, type OnApplicationShutdown } from "@nestjs/common";
import pg from "pg";
import { created, event, metadata, replayed, taken } from "./answers.js";
import * as sql from "./statements.js";
import { type After, type Answer, type Claims, type Me, type NewUser, Store, type User } from "./store.js";

const UNIQUE_VIOLATION = "23505";

/** Hand-written SQL; every statement has a name, so that each connection prepares it once. */
@Injectable()
export class PgStore extends Store implements OnApplicationShutdown {
  private readonly pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });

  async isAlive({ tenantId, sid, sub, jti }: Claims): Promise<boolean> {
    const { rows } = await this.pool.query({ ...sql.isAlive, values: [tenantId, sid, sub, jti] });
    return rows.length > 0;
  }

  async may({ tenantId, sub }: Claims, action: string): Promise<boolean> {
    const { rows } = await this.pool.query({ ...sql.may, values: [tenantId, sub, action] });
    return rows.length > 0;
  }

  async me({ tenantId, sub }: Claims): Promise<Me> {
    const { rows } = await this.pool.query<{ me: Me }>({ ...sql.me, values: [tenantId, sub] });
    return rows[0]!.me;
  }

  async users(tenantId: string, limit: number, after: After | undefined): Promise<User[]> {
    const query = after ? { ...sql.usersAfter, values: [tenantId, limit, after.createdAt, after.id] } : { ...sql.users, values: [tenantId, limit] };
    return (await this.pool.query<User>(query)).rows;
  }

  async createUser(asked: NewUser): Promise<Answer> {
    const client = await this.pool.connect();
    try {
      await client.query("begin");
      const answer = await this.createIn(client, asked);
      await client.query("commit");
      return answer;
    } catch (error) {
      await client.query("rollback");
      if (error instanceof pg.DatabaseError && error.code === UNIQUE_VIOLATION) taken();
      throw error;
    } finally {
      client.release();
    }
  }

  private async createIn(client: pg.PoolClient, asked: NewUser): Promise<Answer> {
    const { claims, email, name, idempotencyKey, digest, ip, userAgent } = asked;
    const tenantId = claims.tenantId;
    const kept = await client.query({ ...sql.keptAnswer, values: [tenantId, idempotencyKey, "users.create"] });
    if (kept.rows[0]) return replayed(asked, kept.rows[0]);
    const user = (await client.query<User>({ ...sql.insertUser, values: [tenantId, email, name] })).rows[0]!;
    await client.query({ ...sql.insertAudit, values: [tenantId, claims.sub, "users.create", "user", user.id, metadata(asked), ip, userAgent] });
    await client.query({ ...sql.insertEvent, values: [tenantId, "user.created", `user/${user.id}`, event(user)] });
    const answer = created(user);
    await client.query({ ...sql.insertAnswer, values: [tenantId, idempotencyKey, "users.create", digest, answer.status, answer.body, answer.hash] });
    return answer;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}
