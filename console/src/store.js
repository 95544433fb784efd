// A value that components watch: read by `get`, replaced by `set`, watched by `useStore`.
import { useSyncExternalStore } from 'react';

export function store(initial) {
  let value = initial;
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const watcher of watchers) watcher();
    },
    subscribe(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

export const useStore = ({ subscribe, get }) => useSyncExternalStore(subscribe, get);

/** What the reader chose, kept by the browser. Storage may be switched off; then it lasts as long as the page. */
export function remembered(storage, key, initial) {
  let kept;
  try {
    kept = storage.getItem(key);
  } catch {
    kept = null;
  }
  const { set, ...rest } = store(kept ?? initial);
  return {
    ...rest,
    set(next) {
      set(next);
      try {
        if (next === '') storage.removeItem(key);
        else storage.setItem(key, next);
      } catch {
        // It lasts as long as the page.
      }
    },
  };
}
