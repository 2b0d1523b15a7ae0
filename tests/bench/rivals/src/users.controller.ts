import { createHash } from "node:crypto";
import { BadRequestException, Body, Controller, Get, Headers, Post, Query, Req, Res, UseGuards } from "@nestjs/common";
import type { FastifyReply } from "fastify";
import { AuthGuard, type Authenticated } from "./auth.guard.js";
import { CreateUser } from "./create-user.dto.js";
import { decode, encode } from "./cursor.js";
import { ListUsers } from "./list-users.dto.js";
import { Action, PermissionGuard } from "./permission.guard.js";
import { Store } from "./store.js";

@Controller("v1/users")
@UseGuards(AuthGuard, PermissionGuard)
export class UsersController {
  constructor(private readonly store: Store) {}

  @Get()
  @Action("users.list")
  async list(@Req() { claims }: Authenticated, @Query() { limit, cursor }: ListUsers) {
    // One more than asked for tells whether there are more.
    const users = await this.store.users(claims.tenantId, limit + 1, cursor ? decode(cursor) : undefined);
    const hasMore = users.length > limit;
    const data = users.slice(0, limit);
    return { data, meta: { hasMore, nextCursor: hasMore ? encode(data[limit - 1]!) : null } };
  }

  @Post()
  @Action("users.create")
  async create(
    @Req() request: Authenticated,
    @Body() { email, name }: CreateUser,
    @Headers("idempotency-key") idempotencyKey: string | undefined,
    @Res() reply: FastifyReply,
  ) {
    if (!idempotencyKey) throw new BadRequestException("Idempotency-Key");
    const { claims, id: requestId, ip, headers } = request;
    const digest = createHash("sha256").update(JSON.stringify([claims.sub, email, name])).digest();
    const answer = await this.store.createUser({ claims, email, name, idempotencyKey, digest, requestId, ip, userAgent: headers["user-agent"] });
    reply.status(answer.status).header("content-type", "application/json; charset=utf-8").send(answer.body);
  }
}
