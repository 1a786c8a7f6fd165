/** Where to go after the sign-in: a path of the console, whatever the address asks for. */
export function inside(next: string | null): string {
  return next?.startsWith('/') && !/^\/[/\\]/.test(next) ? next : '/clusters';
}
