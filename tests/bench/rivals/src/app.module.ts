import { createPublicKey } from "node:crypto";
import { Module } from "@nestjs/common";
import { JwtModule } from "@nestjs/jwt";
import { AuthGuard } from "./auth.guard.js";
import { MeController } from "./me.controller.js";
import { PermissionGuard } from "./permission.guard.js";
import { PgStore } from "./pg.store.js";
import { PrismaStore } from "./prisma.store.js";
import { Store } from "./store.js";
import { UsersController } from "./users.controller.js";

// Parsed once: a key given as text would be parsed for every request.
const publicKey = createPublicKey(process.env.PUBLIC_KEY ?? "");

@Module({
  imports: [JwtModule.register({ secretOrKeyProvider: () => publicKey, verifyOptions: { algorithms: ["RS256"], issuer: "nebula", audience: "nebula" } })],
  controllers: [UsersController, MeController],
  providers: [AuthGuard, PermissionGuard, { provide: Store, useClass: process.env.RIVAL === "prisma" ? PrismaStore : PgStore }],
})
export class AppModule {}
