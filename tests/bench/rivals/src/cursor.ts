import { BadRequestException } from "@nestjs/common";
import type { After, User } from "./store.js";

/** Where the next page begins, opaque to clients. */
export function encode(user: User): string {
  return Buffer.from(JSON.stringify([user.createdAt, user.id])).toString("base64url");
}

export function decode(cursor: string): After {
  try {
    const [createdAt, id] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const after = { createdAt: new Date(createdAt), id: String(id) };
    if (!Number.isNaN(after.createdAt.getTime())) return after;
  } catch {
    // Whatever is wrong with it, it is none of ours.
  }
  throw new BadRequestException("cursor");
}
