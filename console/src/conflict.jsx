// A 412: somebody else has changed the row. Shows what this request would write beside what stands there now.
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { valueFromASTUntyped } from 'graphql';
import { operationOf } from './documents.js';

export function Conflict({ exchange, error }) {
  const { variableEditor } = useGraphiQL(({ variableEditor }) => ({ variableEditor }));
  const { run } = useGraphiQLActions();
  const { currentEtag, current } = error.extensions;
  const field = fieldAt(exchange.request, error.path);
  const intended = field?.patch ?? {};
  const names = [...new Set([...Object.keys(intended), ...Object.keys(current ?? {})])].filter((name) => name !== 'etag');
  const retry = () => {
    variableEditor.setValue(JSON.stringify({ ...exchange.request.variables, [field.tokenVariable]: currentEtag }, null, 2));
    run();
  };
  return (
    <>
      <p>{error.message[0].toUpperCase() + error.message.slice(1)}. Nothing was written.</p>
      {currentEtag && (
        <p>
          Its token is now <code>{currentEtag}</code>.{' '}
          {field?.tokenVariable ? (
            <button type="button" className="fq-button" onClick={retry}>
              Write mine over it
            </button>
          ) : (
            'Send the mutation again with it to write over what is there.'
          )}
        </p>
      )}
      {current === null || currentEtag === null ? (
        <p className="fq-hint">The row is gone.</p>
      ) : (
        <table className="fq-table fq-versions">
          <thead>
            <tr>
              <th scope="col">field</th>
              <th scope="col">yours</th>
              <th scope="col">now</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const isMine = name in intended;
              const differs = isMine && JSON.stringify(intended[name]) !== JSON.stringify(current?.[name]);
              return (
                <tr key={name} className={differs ? 'fq-differs' : undefined}>
                  <th scope="row">{name}</th>
                  <td>{isMine ? <Value value={intended[name]} /> : <small>unchanged</small>}</td>
                  <td>{current && name in current ? <Value value={current[name]} /> : <small>not selected</small>}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </>
  );
}

function Value({ value }) {
  return <code>{typeof value === 'string' ? value : JSON.stringify(value)}</code>;
}

/** What the mutation's field was given: its patch, and the variable that holds the token. */
function fieldAt({ query, variables, operationName }, path) {
  const selections = operationOf(query, operationName)?.selectionSet.selections ?? [];
  const field = selections.find(({ alias, name }) => (alias ?? name)?.value === path?.[0]);
  const argument = (name) => field?.arguments?.find((argument) => argument.name.value === name)?.value;
  const [patch, token] = [argument('patch'), argument('expectedEtag')];
  return {
    patch: patch && valueFromASTUntyped(patch, variables ?? {}),
    tokenVariable: token?.kind === 'Variable' ? token.name.value : undefined,
  };
}
