import { useEffect, useState } from 'react';

interface Seen {
  bytes: number;
  of: number;
}

/** What the last answer cost on the wire: a revalidated one is headers only. */
export function Wire() {
  const [last, setLast] = useState<Seen>();
  useEffect(() => {
    const observer = new PerformanceObserver((list) => {
      const entries = list.getEntries() as PerformanceResourceTiming[];
      const entry = entries.filter(({ name }) => new URL(name).pathname.startsWith('/q/')).at(-1);
      if (entry) setLast({ bytes: entry.transferSize, of: entry.decodedBodySize });
    });
    observer.observe({ type: 'resource' });
    return () => observer.disconnect();
  }, []);
  if (!last || last.of === 0) return null;
  const isRevalidated = last.bytes < last.of && last.bytes <= 300;
  return (
    <p className={isRevalidated ? 'wire is-fresh' : 'wire'} title="The last answer, as it came over the network">
      <span className="dot" aria-hidden="true" />
      {isRevalidated ? `not modified, ${size(last.of)} saved` : `${size(last.bytes)} over the network`}
    </p>
  );
}

function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} KB`;
}
