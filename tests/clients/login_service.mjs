// A login service: the certified OpenID provider oidc-provider, with a login page that takes a name.
//
//     node login_service.mjs MODULES_DIR CERTS_DIR REDIRECT_URI token|userinfo
//
// Prints its issuer when it listens. Whoever logs in as NAME has the HSA-id SE0000000000-NAME, told in
// the token or at the user info endpoint. Some names are for what may go wrong: NOBODY has no HSA-id,
// STALE logged in an hour ago, LOW has only the level "loa2".
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, certs, redirect, where] = process.argv.slice(2);
const entry = path.join(modules, "oidc-provider/lib/index.js");
const { default: Provider } = await import(pathToFileURL(entry).href);
const read = (name) => fs.readFileSync(path.join(certs, name));

let handle;
const server = https.createServer(
  { cert: read("inkorg.crt"), key: read("inkorg.key") },
  (request, response) => handle(request, response),
);
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `https://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "klagomal",
      client_secret: "a made up secret that is long enough",
      redirect_uris: [redirect],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  acrValues: ["loa2", "loa3"],
  claims: { openid: ["sub", "employeeHsaId"], acr: null, auth_time: null },
  conformIdTokenClaims: where === "userinfo",
  cookies: { keys: ["made up"] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
  pkce: { required: () => true, methods: ["S256"] },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () =>
      name === "NOBODY" ? { sub: name } : { sub: name, employeeHsaId: `SE0000000000-${name}` },
  }),
});

async function finish(request, response, name) {
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: name, clientId: params.client_id });
  grant.addOIDCScope("openid");
  const login = { accountId: name, acr: name === "LOW" ? "loa2" : "loa3" };
  if (name === "STALE") login.ts = Math.floor(Date.now() / 1000) - 3600;
  const result = { login, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result);
}

async function page(request, response, url) {
  const name = url.searchParams.get("name");
  if (url.searchParams.has("cancel")) {
    const result = { error: "access_denied", error_description: "avbrutet" };
    return provider.interactionFinished(request, response, result);
  }
  if (name) return finish(request, response, name);
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(`<!DOCTYPE html><html lang="sv"><title>Påhittad inloggning</title>
    <form><label>Namn <input name="name" autofocus></label><button>Logga in</button></form>`);
}

const provide = provider.callback();
handle = (request, response) => {
  const url = new URL(request.url, issuer);
  if (!url.pathname.startsWith("/login/")) return provide(request, response);
  page(request, response, url).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
};
console.log(issuer);
