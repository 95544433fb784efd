// Why the answer is as it is, from the server's own report (`freshql-explain: 1`): what it depends on, and what became of it.
import { useState } from 'react';
import { Pill, Section, ago, count, milliseconds } from './parts.jsx';

export function Freshness({ exchange }) {
  if (!exchange) {
    return <p className="fq-hint">What the answer depends on will stand here: rows, parts of tables, and the changes that touched them.</p>;
  }
  const { kind, status, explained } = exchange;
  if (kind === 'mutation') {
    return (
      <p className="fq-hint">
        A mutation is never stored. {status === 200 ? 'What it wrote ends the stored answers that depend on it, and no others: run a query again to see.' : 'This one was refused, and wrote nothing.'}
      </p>
    );
  }
  if (!explained) {
    return <p className="fq-hint">{status >= 400 ? 'An error has no ETag and is never stored.' : 'The server has no report about this answer.'}</p>;
  }
  return (
    <>
      <Verdict exchange={exchange} />
      <Dependencies dependsOn={explained.dependsOn} />
      <Changes changes={explained.latestChanges} />
      <Etag etag={explained.etag} />
      <Policy policy={explained.policy} />
      <Sql sql={explained.sql} time={explained.milliseconds} />
    </>
  );
}

function Verdict({ exchange: { status, ifNoneMatch, explained, wasAskedFirst } }) {
  const { cache } = explained;
  if (!cache) return null;
  const tone = { hit: 'good', stale: 'warn' }[cache.status] ?? 'plain';
  const why = cache.why[0].toUpperCase() + cache.why.slice(1);
  return (
    <div className="fq-verdict">
      <p>
        <Pill tone={tone}>{cache.status}</Pill> {wasAskedFirst ? why : `If it were asked now: ${cache.why}`}.
      </p>
      {ifNoneMatch && (
        <p>
          <Pill tone={status === 304 ? 'good' : 'plain'}>{status}</Pill>{' '}
          {status === 304
            ? 'The ETag still stands for the answer, so no body was sent. Above is the one that you have.'
            : 'The ETag no longer stands for the answer, so the new one was sent.'}
        </p>
      )}
      {cache.changes?.length > 0 && <ChangeTable changes={cache.changes} />}
    </div>
  );
}

/** So many rows of an entity are shown at first. */
const ROWS = 5;

function Dependencies({ dependsOn: { rows, parts, sets } }) {
  const byEntity = Map.groupBy(rows, ({ entity }) => entity);
  const total = [[rows, 'row'], [parts, 'part'], [sets, 'set']].filter(([of]) => of.length > 0).map(([of, word]) => count(of.length, word));
  return (
    <Section title="Depends on" aside={total.join(', ')}>
      <ul className="fq-list">
        {[...byEntity].map(([entity, rows]) => (
          <Rows key={entity} entity={entity} rows={rows} />
        ))}
        {parts.map(({ entity, column, value, watching }) => (
          <li key={`${entity}.${column}=${JSON.stringify(value)}`}>
            <b>{entity}</b> rows with <code>{`${column} = ${JSON.stringify(value)}`}</code> <Watching columns={watching} />
          </li>
        ))}
        {sets.map(({ entity, watching }) => (
          <li key={entity}>
            any <b>{entity}</b> <Watching columns={watching} />
          </li>
        ))}
        {rows.length + parts.length + sets.length === 0 && <li>nothing in the database</li>}
      </ul>
    </Section>
  );
}

function Rows({ entity, rows }) {
  const [isOpen, open] = useState(false);
  const shown = isOpen ? rows : rows.slice(0, ROWS);
  return (
    <li>
      <b>{entity}</b> {shown.map(({ id, version }) => (
        <code key={JSON.stringify(id)} title={version === undefined ? 'not there' : `version ${version}`}>
          {String(id)}
          {version === undefined && ' (not there)'}
        </code>
      ))}
      {shown.length < rows.length && (
        <button type="button" className="fq-link" onClick={() => open(true)}>
          {rows.length - shown.length} more
        </button>
      )}
    </li>
  );
}

/** Which changes of a row count: those of the columns that decide whether it is in the list, and where. */
function Watching({ columns = [] }) {
  return columns.length > 0 && <small>comes, goes, or changes its {columns.join(', ')}</small>;
}

function Changes({ changes = [] }) {
  return (
    <Section title="Latest changes of these" aside={changes.length === 0 ? 'none that is still known' : undefined}>
      {changes.length > 0 && <ChangeTable changes={changes} />}
    </Section>
  );
}

function ChangeTable({ changes }) {
  return (
    <table className="fq-table">
      <tbody>
        {changes.map(({ seq, at, op, entity, id, columns = [] }) => (
          <tr key={seq}>
            <td title={`change ${seq}, ${at}`}>{ago(at)}</td>
            <td>{op}</td>
            <td>
              <b>{entity}</b> <code>{String(id)}</code> {columns.length > 0 && <small>{columns.join(', ')}</small>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Etag({ etag: { value, derivedFrom } }) {
  const { rows, missing = [], lists = [], totals = [], values } = derivedFrom;
  const from = [
    rows > 0 && count(rows, 'row version'),
    missing.length > 0 && count(missing.length, 'row that is not there', 'rows that are not there'),
    lists.length > 0 && count(lists.length, 'list length'),
    totals.length > 0 && count(totals.length, 'total'),
    values > 0 && count(values, 'value'),
  ].filter(Boolean);
  return (
    <Section title="ETag">
      <p>
        {value ? <code>{value}</code> : 'none, because a field failed'} <small>made of the question{from.length > 0 && `, ${from.join(', ')}`}</small>
      </p>
    </Section>
  );
}

function Policy({ policy }) {
  const decided = Object.entries(policy.decidedBy ?? {}).filter(([, field]) => field);
  return (
    <Section title="What caches may do">
      <p>
        <code>Cache-Control: {policy.cacheControl}</code>{' '}
        {policy.cdnCacheControl && <code>CDN-Cache-Control: {policy.cdnCacheControl}</code>}
      </p>
      {decided.length > 0 && (
        <p>
          <small>decided by {[...new Set(decided.map(([, field]) => field))].join(', ')}</small>
        </p>
      )}
    </Section>
  );
}

function Sql({ sql, time }) {
  const parts = [['plan', time.plan], ['sql', time.sql], ['json', time.json]];
  const total = time.plan + time.sql + time.json || 1;
  return (
    <Section title="Time on the server" aside={milliseconds(time.plan + time.sql + time.json)}>
      <div className="fq-bar">
        {parts.map(([name, value]) => (
          <span key={name} className={`fq-${name}`} style={{ flexGrow: value / total }} />
        ))}
      </div>
      <p className="fq-legend">
        {parts.map(([name, value]) => (
          <span key={name} className={`fq-${name}`}>
            {name} {milliseconds(value)}
          </span>
        ))}
      </p>
      <details>
        <summary>{count(sql.length, 'SQL statement')}</summary>
        <ol className="fq-sql">
          {sql.map(({ text, runs, rows, milliseconds: spent }) => (
            <li key={text}>
              <pre className="fq-code">{text}</pre>
              <small>
                {count(runs, 'run')}, {count(rows, 'row')}, {milliseconds(spent)}
              </small>
            </li>
          ))}
        </ol>
      </details>
    </Section>
  );
}
