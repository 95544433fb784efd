import { useMutation } from '@apollo/client/react';
import { type Clash, retryOnConflict } from 'freshql-client/apollo';
import { type FormEvent, useState } from 'react';
import { Conflict } from './Conflict';
import { type Draft, type Editable, type Product, SAVE_PRODUCT, STATES } from './operations';
import { useSession } from './session';

type Intent = { id: string; patch: Partial<Draft>; expectedEtag: string };
interface Question {
  current: Editable;
  mine: Partial<Draft>;
  decide: (patch: Partial<Draft> | null) => void;
}

export function Form({ product, done }: { product: Product; done: (saved: boolean) => void }) {
  // The product as it was when editing began. Its etag stays with its fields, whatever the cache learns meanwhile.
  const [base] = useState(product);
  const [draft, setDraft] = useState<Draft>(() => draftOf(product));
  const [question, setQuestion] = useState<Question>();
  // The token goes with what writes only. What everybody reads needs none, and to another origin it would cost a preflight.
  const session = useSession();
  const headers = session ? { authorization: `Bearer ${session.token}` } : {};
  const [save, { loading, error }] = useMutation(SAVE_PRODUCT, { context: { headers } });
  const change = <K extends keyof Draft>(name: K, value: Draft[K]) => setDraft({ ...draft, [name]: value });

  /** Shows both versions and waits for what is decided. */
  const ask = ({ current, intent }: Clash<Intent, Editable>) =>
    new Promise<Intent | null>((resolve) => {
      const decide = (patch: Partial<Draft> | null) => {
        setQuestion(undefined);
        resolve(patch && { ...intent, patch });
      };
      setQuestion({ current: current!, mine: intent.patch, decide });
    });

  async function submit(event: FormEvent) {
    event.preventDefault();
    const patch = difference(draft, base);
    if (Object.keys(patch).length === 0) return done(false);
    const send = (variables: Intent) => save({ variables });
    try {
      await retryOnConflict<Intent, unknown, Editable>({ id: base.id, patch, expectedEtag: base.etag }, send, ask);
      done(true);
    } catch {
      // `error` has it, for the form stays open.
    }
  }

  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <label className="wide">
        Name
        <input required value={draft.name} onChange={(event) => change('name', event.target.value)} />
      </label>
      <label className="wide">
        Description
        <textarea rows={4} value={draft.description} onChange={(event) => change('description', event.target.value)} />
      </label>
      <label>
        Price in euros
        <input
          required
          inputMode="decimal"
          pattern="\d+(\.\d{1,2})?"
          value={draft.price}
          onChange={(event) => change('price', event.target.value)}
        />
      </label>
      <label>
        Stock
        <input type="number" required value={draft.stock} onChange={(event) => change('stock', event.target.valueAsNumber)} />
      </label>
      <label>
        State
        <select value={draft.status} onChange={(event) => change('status', event.target.value as Draft['status'])}>
          {Object.entries(STATES).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {error && !question && !loading && (
        <p className="failure wide" role="alert">
          {error.message}
        </p>
      )}
      <div className="actions wide">
        <button type="submit" className="primary" disabled={loading}>
          {loading ? 'Saving…' : 'Save'}
        </button>
        <button type="button" onClick={() => done(false)}>
          Cancel
        </button>
      </div>
      {question && <Conflict base={base} {...question} />}
    </form>
  );
}

function draftOf({ name, description, price, stock, status }: Draft): Draft {
  return { name, description, price, stock, status };
}

/** Only what was edited is sent, so that two people who edit different fields need not decide anything but that. */
function difference(draft: Draft, base: Draft): Partial<Draft> {
  const names = Object.keys(draft) as (keyof Draft)[];
  return Object.fromEntries(names.filter((name) => draft[name] !== base[name]).map((name) => [name, draft[name]]));
}
