// The exchange as it went over the wire.
import { Section, milliseconds } from './parts.jsx';

export function Headers({ exchange }) {
  if (!exchange) return <p className="fq-hint">The request and the headers of its answer will stand here.</p>;
  const { method, url, sent, status, statusText, headers } = exchange;
  const own = Object.entries(sent).map(([name, value]) => [name, name === 'authorization' ? '…' : value]);
  return (
    <>
      <Section title="Request">
        <pre className="fq-code">{`${method} ${url}`}</pre>
        <Table headers={own} />
      </Section>
      <Section title="Answer" aside={`${status} ${statusText}, ${milliseconds(exchange.milliseconds)} until the last byte`}>
        <Table headers={headers} />
      </Section>
    </>
  );
}

function Table({ headers }) {
  return (
    <table className="fq-table fq-headers">
      <tbody>
        {headers.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
