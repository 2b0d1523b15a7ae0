// The private RSA operation on blocks that no signer would make, and signatures of other schemes. Reads one JSON object, answers one.
import { constants, createPrivateKey, privateEncrypt, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { pem, blocks, text } = JSON.parse(readFileSync(0, 'utf8'));
const key = createPrivateKey(pem);
const raw = (block) => privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, Buffer.from(block, 'hex')).toString('hex');
const signed = (digest, options = {}) => sign(digest, Buffer.from(text), { key, ...options }).toString('hex');
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING };
process.stdout.write(
  JSON.stringify({
    blocks: blocks.map(raw),
    modulus: Buffer.from(key.export({ format: 'jwk' }).n, 'base64url').toString('hex'),
    others: {
      SHA1: signed('sha1'), SHA384: signed('sha384'), SHA512: signed('sha512'), PSS: signed('sha256', pss), 'PSS without salt': signed('sha256', { ...pss, saltLength: 0 }),
    },
  }),
);
