// An OpenID issuer that somebody else wrote (oauth2-mock-server), with its addresses and claims where Microsoft Entra ID has them:
//   node issuer.mjs PORT TENANT
// POST /TENANT/oauth2/v2.0/token with `claims`, a text of JSON, signs a token with those claims beside the usual ones; POST /rotate
// adds a key and signs with it from then on.
import { OAuth2Server } from "oauth2-mock-server";

const [port, tenant] = [Number(process.argv[2]), process.argv[3]];
const server = new OAuth2Server(undefined, undefined, {
  endpoints: {
    wellKnownDocument: `/${tenant}/v2.0/.well-known/openid-configuration`,
    jwks: `/${tenant}/discovery/v2.0/keys`,
    token: `/${tenant}/oauth2/v2.0/token`,
  },
});
let newest = await server.issuer.keys.generate("RS256");
server.service.on("beforeTokenSigning", (token, request) => {
  delete token.payload.scope;
  Object.assign(token.payload, { iss: `http://127.0.0.1:${port}/${tenant}/v2.0` }, JSON.parse(request.body.claims ?? "{}"));
});
// The service signs with any of its keys; here with the newest, as an issuer does that changes them.
const any = server.issuer.buildToken.bind(server.issuer);
server.issuer.buildToken = (options) => any({ ...options, kid: newest.kid });
server.service.addRoute("POST", "/rotate", async (_request, response) => {
  newest = await server.issuer.keys.generate("RS256");
  response.end(JSON.stringify({ kid: newest.kid }));
});
await server.start(port, "127.0.0.1");
server.issuer.url = `http://127.0.0.1:${port}`;
