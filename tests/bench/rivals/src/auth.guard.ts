import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from "@nestjs/common";
import { JwtService } from "@nestjs/jwt";
import type { FastifyRequest } from "fastify";
import { type Claims, Store } from "./store.js";

export type Authenticated = FastifyRequest & { claims: Claims };

/** Who is calling: the token's signature and claims, then what the database says about them now. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly jwt: JwtService,
    private readonly store: Store,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<Authenticated>();
    const [scheme, token] = request.headers.authorization?.split(" ") ?? [];
    if (scheme !== "Bearer" || !token) throw new UnauthorizedException();
    const claims = await this.jwt.verifyAsync<Claims & { type: string }>(token).catch(() => undefined);
    if (claims?.type !== "user" || !(await this.store.isAlive(claims))) throw new UnauthorizedException();
    request.claims = claims;
    return true;
  }
}
