/** An answer of the manager that is no success, in its own words. */
export class Refused extends Error {
  override readonly name = 'Refused';

  private constructor(
    message: string,
    readonly status: number,
    /** For programs, where one is expected to act. */
    readonly code: string | undefined,
  ) {
    super(message);
  }

  static async by(response: Response): Promise<Refused> {
    const body: unknown = await response.json().catch(() => undefined);
    const message =
      text(body, 'message') ?? text(body, 'errors') ?? listed(body) ?? `${response.status} ${response.statusText}`;
    return new Refused(message, response.status, text(body, 'code'));
  }
}

/** Whether the session has ended, or there was none. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof Refused && error.status === 401;
}

/** Whether asking again can't help: the request itself is refused. */
export function isFinal(error: unknown): boolean {
  return error instanceof Refused && error.status < 500 && error.status !== 429;
}

/** Jaeger's query API says why in a list. */
function listed(body: unknown): string | undefined {
  const errors: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'errors') : undefined;
  return Array.isArray(errors) ? text(errors[0], 'msg') : undefined;
}

function text(body: unknown, field: string): string | undefined {
  if (typeof body !== 'object' || body === null || !(field in body)) {
    return undefined;
  }
  const value: unknown = Reflect.get(body, field);
  return typeof value === 'string' ? value : undefined;
}
