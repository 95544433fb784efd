// What goes along as `Authorization`. It is kept for the browser's tab only, and nowhere else.
import { useState } from 'react';
import { useGraphiQLActions } from '@graphiql/react';
import { authorization, loadDocuments } from './state.js';
import { useStore } from './store.js';

export const TOKEN = { title: 'Authorization', icon: Icon, content: Token };

function Token() {
  const { introspect } = useGraphiQLActions();
  const kept = useStore(authorization);
  const [text, setText] = useState(kept);
  const keep = (value) => {
    authorization.set(value);
    setText(value);
    // Another viewer may see another schema.
    introspect();
    loadDocuments();
  };
  const submit = (event) => {
    event.preventDefault();
    const value = text.trim();
    // A bare token is a bearer token.
    keep(value === '' || value.includes(' ') ? value : `Bearer ${value}`);
  };
  return (
    <form className="fq-token" onSubmit={submit} aria-label="Authorization">
      <h2>Authorization</h2>
      <label>
        Sent as <code>Authorization</code> with every request
        <input
          type="text"
          value={text}
          onChange={(event) => setText(event.target.value)}
          placeholder="Bearer …"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
        />
      </label>
      <p>
        <button type="submit" className="fq-button">
          Keep
        </button>{' '}
        {kept && (
          <button type="button" className="fq-link" onClick={() => keep('')}>
            Forget
          </button>
        )}
      </p>
      <p className="fq-hint">
        {kept ? 'Kept until you close this browser tab.' : 'Requests carry no Authorization.'} An <code>Authorization</code> in the Headers editor goes before it.
      </p>
    </form>
  );
}

function Icon() {
  const isSet = useStore(authorization) !== '';
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <circle cx="8" cy="15" r="4" fill={isSet ? 'currentColor' : 'none'} />
      <path d="m11 12 8-8m-4 4 3 3" />
    </svg>
  );
}
