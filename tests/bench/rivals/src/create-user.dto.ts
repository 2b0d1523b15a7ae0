import { IsEmail, Length, MaxLength } from "class-validator";

export class CreateUser {
  @IsEmail()
  @MaxLength(254)
  email!: string;

  @Length(1, 200)
  name!: string;
}
