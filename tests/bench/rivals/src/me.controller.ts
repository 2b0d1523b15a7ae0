import { Controller, Get, Req, UseGuards } from "@nestjs/common";
import { AuthGuard, type Authenticated } from "./auth.guard.js";
import { Store } from "./store.js";

@Controller("v1/me")
@UseGuards(AuthGuard)
export class MeController {
  constructor(private readonly store: Store) {}

  @Get()
  async read(@Req() request: Authenticated) {
    return { data: await this.store.me(request.claims) };
  }
}
