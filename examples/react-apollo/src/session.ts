/** Who is signed in, in this tab: a token, and what it says. What that is worth, the server alone decides. */
import { useSyncExternalStore } from 'react';

export interface Session {
  token: string;
  /** As the header shows it. */
  name: string;
}

const KEY = 'token';
const listeners = new Set<() => void>();
let session = read(sessionStorage.getItem(KEY) ?? '');

/** What a token says; null where it is none. */
function read(token: string): Session | null {
  try {
    const part = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: string; roles?: string[] };
    return { token, name: [claims.sub, ...(claims.roles ?? [])].filter(Boolean).join(', ') || 'somebody' };
  } catch {
    return null;
  }
}

/** Whether it is a token. */
export function signIn(token: string): boolean {
  const found = read(token.trim());
  if (found) change(found);
  return found !== null;
}

export function signOut(): void {
  change(null);
}

function change(next: Session | null): void {
  session = next;
  if (next) sessionStorage.setItem(KEY, next.token);
  else sessionStorage.removeItem(KEY);
  listeners.forEach((listener) => listener());
}

export function useSession(): Session | null {
  return useSyncExternalStore(
    (listener) => (listeners.add(listener), () => listeners.delete(listener)),
    () => session,
  );
}
