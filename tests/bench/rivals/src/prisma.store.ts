import { Injectable, type OnApplicationShutdown } from "@nestjs/common";
import { PrismaPg } from "@prisma/adapter-pg";
import { created, event, metadata, replayed, taken } from "./answers.js";
import { Prisma, PrismaClient } from "./generated/client.js";
import { type After, type Answer, type Claims, type Me, type NewUser, Store, type User } from "./store.js";

const UNIQUE_VIOLATION = "P2002";
// Longer than the defaults: what waits for a connection under load is not to fail.
const PATIENCE = { maxWait: 10_000, timeout: 10_000 };

const USER = {
  id: true,
  email: true,
  name: true,
  status: true,
  suspendedReason: true,
  authProvider: true,
  createdAt: true,
  updatedAt: true,
} satisfies Prisma.UserSelect;

/** Through Prisma, as its documentation says. */
@Injectable()
export class PrismaStore extends Store implements OnApplicationShutdown {
  private readonly prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, max: 16 }) });

  async isAlive({ tenantId, sid, sub, jti }: Claims): Promise<boolean> {
    const [session, revoked] = await Promise.all([
      this.prisma.session.findFirst({
        where: {
          tenantId,
          id: sid,
          userId: sub,
          revokedAt: null,
          expiresAt: { gt: new Date() },
          tenant: { status: "ativo" },
          user: { status: "ativo", deletedAt: null },
        },
        select: { id: true },
      }),
      this.prisma.revokedToken.findUnique({ where: { tenantId_jti: { tenantId, jti } }, select: { id: true } }),
    ]);
    return session !== null && revoked === null;
  }

  async may(claims: Claims, action: string): Promise<boolean> {
    return (await this.prisma.toolAction.findFirst({ where: { key: action, ...allowed(claims) }, select: { id: true } })) !== null;
  }

  async me(claims: Claims): Promise<Me> {
    const { tenantId, sub } = claims;
    const [{ id, email, name }, tenant, packages, groups, actions] = await Promise.all([
      this.prisma.user.findUniqueOrThrow({ where: { tenantId_id: { tenantId, id: sub } }, select: { id: true, email: true, name: true } }),
      this.prisma.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { id: true, slug: true, name: true } }),
      this.prisma.tenantPackage.findMany({
        where: { tenantId, ...standing() },
        select: { expiresAt: true, package: { select: { key: true, name: true } } },
        orderBy: { package: { key: "asc" } },
      }),
      this.prisma.group.findMany({
        where: { tenantId, status: "ativo", members: { some: { userId: sub } } },
        select: { name: true },
        orderBy: { name: "asc" },
      }),
      this.prisma.toolAction.findMany({ where: allowed(claims), select: { key: true }, orderBy: { key: "asc" } }),
    ]);
    return {
      actor: { type: "user", id, email, name },
      tenant,
      packages: packages.map(({ expiresAt, package: { key, name } }) => ({ key, name, expiresAt })),
      groups: groups.map(({ name }) => name),
      actions: actions.map(({ key }) => key),
    };
  }

  users(tenantId: string, limit: number, after: After | undefined): Promise<User[]> {
    const rest = after && { OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }] };
    return this.prisma.user.findMany({
      where: { tenantId, deletedAt: null, ...rest },
      select: USER,
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: limit,
    });
  }

  async createUser(asked: NewUser): Promise<Answer> {
    try {
      return await this.prisma.$transaction((transaction) => createIn(transaction, asked), PATIENCE);
    } catch (error) {
      if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === UNIQUE_VIOLATION) taken();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.prisma.$disconnect();
  }
}

async function createIn(transaction: Prisma.TransactionClient, asked: NewUser): Promise<Answer> {
  const { claims, email, name, idempotencyKey: key, digest, ip, userAgent } = asked;
  const { tenantId, sub } = claims;
  const handler = "users.create";
  const kept = await transaction.idempotencyKey.findUnique({
    where: { tenantId_key_handler: { tenantId, key, handler } },
    select: { requestDigest: true, responseStatus: true, responseBody: true },
  });
  if (kept) return replayed(asked, { digest: kept.requestDigest, status: kept.responseStatus, body: kept.responseBody });
  const user = await transaction.user.create({ data: { tenantId, email, name }, select: USER });
  await transaction.auditLog.create({
    data: {
      tenantId,
      actorUserId: sub,
      actorType: "user",
      action: handler,
      entityType: "user",
      entityId: user.id,
      metadata: metadata(asked),
      ip,
      userAgent,
    },
    select: { id: true },
  });
  await transaction.outbox.create({
    data: { tenantId, type: "user.created", aggregate: `user/${user.id}`, payload: JSON.parse(JSON.stringify(event(user))) },
    select: { id: true },
  });
  const { status, body, hash } = created(user);
  await transaction.idempotencyKey.create({
    data: {
      tenantId,
      key,
      handler,
      requestDigest: new Uint8Array(digest),
      responseStatus: status,
      responseBody: body,
      responseHash: new Uint8Array(hash),
    },
    select: { id: true },
  });
  return { status, body };
}

/** A package that a tenant has now. */
function standing() {
  return {
    status: "ativo",
    OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }],
    package: { status: "ativo" },
  } satisfies Prisma.TenantPackageWhereInput;
}

/** Actions that a group of the person grants, and that a package or an exception of the tenant has. */
function allowed({ tenantId, sub }: Claims) {
  const exception = (enabled: boolean) => ({ some: { tenantId, flags: { path: ["enabled"], equals: enabled } } });
  const has = standing();
  return {
    status: "ativo",
    tool: { status: "ativo" },
    permissions: {
      some: { tenantId, constraints: { equals: {} }, group: { status: "ativo", members: { some: { userId: sub } } } },
    },
    OR: [
      { packages: { some: { package: { status: has.package.status, tenants: { some: { tenantId, status: has.status, OR: has.OR } } } } } },
      { overrides: exception(true) },
      { tool: { overrides: exception(true) } },
    ],
    NOT: [{ overrides: exception(false) }, { tool: { overrides: exception(false) } }],
  } satisfies Prisma.ToolActionWhereInput;
}
