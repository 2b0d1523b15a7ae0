import { type CanActivate, type ExecutionContext, ForbiddenException, Injectable } from "@nestjs/common";
import { Reflector } from "@nestjs/core";
import type { Authenticated } from "./auth.guard.js";
import { Store } from "./store.js";

/** The action that a route asks for. */
export const Action = Reflector.createDecorator<string>();

@Injectable()
export class PermissionGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly store: Store,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const action = this.reflector.get(Action, context.getHandler());
    const { claims } = context.switchToHttp().getRequest<Authenticated>();
    if (!action || !(await this.store.may(claims, action))) throw new ForbiddenException();
    return true;
  }
}
