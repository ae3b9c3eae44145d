// Makes cases.json, see README.md. Nothing of this project computes anything here.
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const { Wallet, TypedDataEncoder, keccak256, toUtf8Bytes, ZeroHash, version } = require("ethers");

const types = {
  SecretRequest: [
    { name: "verb", type: "string" },
    { name: "kind", type: "string" },
    { name: "owner", type: "address" },
    { name: "name", type: "string" },
    { name: "valueHash", type: "bytes32" },
    { name: "version", type: "uint64" },
    { name: "nonce", type: "bytes32" },
    { name: "deadline", type: "uint64" },
    { name: "audience", type: "string" },
  ],
};
const key = "0x" + "05".repeat(32);
const wallet = new Wallet(key);
const other = "0x1111111111111111111111111111111111111111";
const nonce = (byte) => "0x" + byte.repeat(32);
const cases = [
  ["put", "web2", wallet.address, "iexec-result-encryption-public-key", "hello", 1, nonce("01"), 1700000600, "https://sms.example", 134],
  ["put", "web2", wallet.address, "iexec-result-encryption-public-key", "hello", 2, nonce("01"), 1700000600, "https://sms.example", 134],
  ["put", "requester", wallet.address, "iexec-result-encryption-public-key", "hello", 1, nonce("01"), 1700000600, "https://sms.example", 134],
  ["put", "web3", other, "", "c2VjcmV0", 1, nonce("02"), 1700000000, "http://127.0.0.1:13300", 65535],
  ["put", "app", other, "", "é ü 漢", 7, nonce("ff"), "18446744073709551615", "http://127.0.0.1:13300", 65535],
  ["put", "storage", wallet.address, "https://proxy.example", "token", "18446744073709551615", nonce("03"), 1, "https://sms.example", 1],
  ["delete", "requester", wallet.address, "api-key", null, 3, nonce("04"), 1700000600, "https://sms.example", 134],
  ["delete", "web2", wallet.address, "näme", null, 3, nonce("04"), 1700000600, "https://sms.example", 134],
  ["list", "", wallet.address, "", null, 0, nonce("05"), 1700000600, "https://sms.example", 134],
  ["list", "app", other, "", null, 0, nonce("06"), 1700000600, "", 42161],
];
const out = [];
for (const [verb, kind, owner, name, value, ver, non, deadline, audience, chainId] of cases) {
  const domain = { name: "iExec SMS", version: "2", chainId };
  const valueHash = value === null ? ZeroHash : keccak256(toUtf8Bytes(value));
  const message = { verb, kind, owner, name, valueHash, version: BigInt(ver), nonce: non, deadline: BigInt(deadline), audience };
  out.push({
    verb, kind, owner, name, value, version: String(ver), nonce: non, deadline: String(deadline), audience, chainId,
    hash: TypedDataEncoder.hash(domain, types, message),
    signature: await wallet.signTypedData(domain, types, message),
  });
}
console.log(JSON.stringify({ madeBy: `ethers ${version}`, key, signer: wallet.address, cases: out }, null, 1));
