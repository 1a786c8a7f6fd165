import createClient, { type Middleware } from 'openapi-fetch';
import { Refused } from './refused';
import type { components, paths } from './schema';

/** The types of what the API carries, by their names in its description. */
export type Schemas = components['schemas'];

/** Turns every answer that is no success into a failure, so that callers see data or an exception. */
const refusals: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) {
      throw await Refused.by(response);
    }
  },
};

/** The manager that serves this page. The session travels in a cookie that scripts can't read. */
export const api = createClient<paths>({ baseUrl: window.location.origin });
api.use(refusals);
