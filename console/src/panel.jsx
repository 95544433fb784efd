// Beside the answer: what its status and headers say, and below it why it is as it is.
import { useEffect } from 'react';
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { Conflict } from './conflict.jsx';
import { conflictIn, explainLater, runConditionally } from './fetcher.js';
import { Freshness } from './freshness.jsx';
import { Headers } from './headers.jsx';
import { Copy, Pill, milliseconds, size } from './parts.jsx';
import { Persist } from './persist.jsx';
import { activeTab, exchanges, openPart } from './state.js';
import { useStore } from './store.js';

/** For GraphiQL's footer. `page.css` moves the status line above the answer. */
export function Panel() {
  const tab = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex].id);
  const exchange = useStore(exchanges).get(tab);
  const part = useStore(openPart);
  const conflict = exchange && conflictIn(exchange);
  const lacksReason = exchange?.kind === 'query' && !exchange.explained && part !== '';

  useEffect(() => activeTab.set(tab), [tab]);
  const { queryEditor, variableEditor } = useGraphiQL(({ queryEditor, variableEditor }) => ({ queryEditor, variableEditor }));
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor]) editor?.updateOptions({ wordWrap: 'on' });
  }, [queryEditor, variableEditor]);
  useEffect(() => {
    if (lacksReason) explainLater(tab, exchange);
  }, [lacksReason, tab, exchange]);

  const parts = ['Freshness', 'Headers', 'Persist', ...(conflict ? ['Conflict'] : [])];
  const shown = part === '' || parts.includes(part) ? part : 'Freshness';
  return (
    <>
      <StatusLine exchange={exchange} />
      <div className={shown === '' ? 'fq-panel fq-folded' : 'fq-panel'}>
        <div className="fq-tabs" role="tablist" aria-label="About the answer">
          {parts.map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              aria-selected={name === shown}
              className={name === 'Conflict' ? 'fq-alarm' : undefined}
              onClick={() => openPart.set(name)}
            >
              {name}
            </button>
          ))}
          <button
            type="button"
            className="fq-fold"
            aria-expanded={shown !== ''}
            onClick={() => openPart.set(shown === '' ? 'Freshness' : '')}
          >
            {shown === '' ? 'Show' : 'Hide'}
          </button>
        </div>
        {shown !== '' && (
          <div className="fq-part" role="tabpanel" aria-label={shown}>
            {shown === 'Freshness' && <Freshness exchange={exchange} />}
            {shown === 'Headers' && <Headers exchange={exchange} />}
            {shown === 'Persist' && <Persist exchange={exchange} />}
            {shown === 'Conflict' && <Conflict exchange={exchange} error={conflict} />}
          </div>
        )}
      </div>
    </>
  );
}

function StatusLine({ exchange }) {
  const { run } = useGraphiQLActions();
  const isFetching = useGraphiQL((state) => state.isFetching);
  if (!exchange) return <div className="fq-status fq-quiet">Run an operation to see its status, ETag and timing here.</div>;

  const { status, statusText, bytes } = exchange;
  const etag = header(exchange, 'etag');
  const cache = cacheWord(exchange);
  return (
    <div className="fq-status" aria-label="Status of the answer">
      <Pill tone={statusTone(status)}>{`${status} ${statusText}`.trim()}</Pill>
      {cache && (
        <Pill tone={cache.tone} title={cache.title}>
          {cache.word}
        </Pill>
      )}
      <span className="fq-figures">
        {milliseconds(exchange.milliseconds)} · {size(bytes)}
      </span>
      {etag && (
        <Copy className="fq-link fq-etag" title={`ETag: ${etag} (click to copy)`} text={etag}>
          ETag <code>{etag}</code>
        </Copy>
      )}
      {etag && exchange.method === 'GET' && (
        <button
          type="button"
          className="fq-button"
          disabled={isFetching}
          title={`If-None-Match: ${etag}`}
          onClick={() => runConditionally(etag, run)}
        >
          Send again with If-None-Match
        </button>
      )}
    </div>
  );
}

export function header(exchange, name) {
  return exchange.headers.find(([other]) => other === name)?.[1];
}

function statusTone(status) {
  if (status === 304 || (status >= 200 && status < 300)) return 'good';
  return status === 412 || status === 409 || status === 428 ? 'warn' : 'bad';
}

/** Cache-Status (RFC 9211), in a word. */
function cacheWord(exchange) {
  const value = header(exchange, 'cache-status');
  if (!value) return undefined;
  if (value.includes('hit')) return { word: 'hit', tone: 'good', title: 'The stored answer still holds' };
  const reason = /fwd=(\w+)/.exec(value)?.[1];
  const titles = { miss: 'Nothing was stored: executed', stale: 'What was stored has changed: executed again', bypass: 'Executed, not stored' };
  return { word: reason ?? value, tone: 'plain', title: titles[reason] ?? value };
}
