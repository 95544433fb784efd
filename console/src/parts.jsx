// Small pieces that the parts of the page share.
import { useState } from 'react';

/** Something to take along: a click copies it. */
export function Copy({ text, className = 'fq-link', title, children = 'Copy' }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" className={className} title={title} onClick={copy}>
      {done ? 'Copied' : children}
    </button>
  );
}

/** Browsers keep their clipboard API for HTTPS and localhost. */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

/** A word in a coloured frame. `tone`: good, plain, warn or bad. */
export function Pill({ tone = 'plain', title, children }) {
  return (
    <span className={`fq-pill fq-${tone}`} title={title}>
      {children}
    </span>
  );
}

export function Section({ title, aside, children }) {
  return (
    <section className="fq-section">
      <h3>
        {title}
        {aside !== undefined && <small>{aside}</small>}
      </h3>
      {children}
    </section>
  );
}

/** Lines of code with a button that copies them. */
export function Code({ title, text, children }) {
  return (
    <Section title={title} aside={<Copy text={text} />}>
      <pre className="fq-code">{text}</pre>
      {children}
    </Section>
  );
}

export function milliseconds(value) {
  if (value < 10) return `${value.toFixed(2)} ms`;
  return value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** How long ago that was. */
export function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : new Date(at).toLocaleString();
}
