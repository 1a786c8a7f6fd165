// A provider of OpenID Connect whose people need no password: who the browser is stands in the cookie "person".
import { Provider } from 'oidc-provider';

const [issuer, port, settings] = [process.env.ISSUER, Number(process.env.PORT), JSON.parse(process.env.SETTINGS)];
const provider = new Provider(issuer, {
  clients: [{ client_id: 'dragonfly', client_secret: 'a secret of the lab', redirect_uris: settings.redirect_uris }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  ttl: { IdToken: 600, AccessToken: 600, AuthorizationCode: 60, Session: 600, Interaction: 600, Grant: 600 },
  cookies: { keys: ['only for a lab'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/people/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...settings.people[id] }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/people/')) return next();
  const accountId = ctx.cookies.get('person');
  const answer = accountId ? { login: { accountId } } : { error: 'access_denied' };
  await provider.interactionFinished(ctx.req, ctx.res, answer);
  ctx.respond = false;
});
provider.listen(port, '127.0.0.1');
