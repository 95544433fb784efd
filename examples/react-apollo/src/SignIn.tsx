import { type FormEvent, useState } from 'react';
import { signIn, signOut, useSession } from './session';

/** A token of `freshql token` stands in for the login of an identity provider. */
export function SignIn() {
  const session = useSession();
  const [token, setToken] = useState('');
  const [isWrong, setWrong] = useState(false);

  function submit(event: FormEvent) {
    event.preventDefault();
    const isToken = signIn(token);
    setWrong(!isToken);
    if (isToken) setToken('');
  }

  if (session) {
    return (
      <div className="session">
        <span className="who">{session.name}</span>
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </div>
    );
  }
  return (
    <form className="session" onSubmit={submit}>
      <input
        id="token"
        aria-label="Token"
        aria-invalid={isWrong}
        placeholder="a token of `freshql token`"
        autoComplete="off"
        spellCheck={false}
        required
        value={token}
        onChange={(event) => setToken(event.target.value)}
      />
      <button type="submit">Sign in</button>
    </form>
  );
}
