import { setNonce } from 'get-nonce';

/** The page's nonce, without which the browser takes no style element. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
}

// Dialogs lock the page's scrolling by a style element of a library that asks here.
setNonce(styleNonce());
