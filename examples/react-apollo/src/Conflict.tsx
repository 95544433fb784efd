import { useEffect, useRef, useState } from 'react';
import type { Draft, Editable } from './operations';

type Name = keyof Draft;
type Side = 'mine' | 'theirs';

interface Props {
  /** What editing began with. */
  base: Draft;
  current: Editable;
  mine: Partial<Draft>;
  /** The patch against `current`; null to go on editing. */
  decide: (patch: Partial<Draft> | null) => void;
}

/** Somebody has saved the product meanwhile: both versions side by side, field by field. */
export function Conflict({ base, current, mine, decide }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const names = (Object.keys(base) as Name[]).filter((name) => ['name', 'description', 'price', 'stock', 'status'].includes(name));
  const theirs = names.filter((name) => current[name] !== base[name]);
  const clashing = theirs.filter((name) => name in mine && mine[name] !== current[name]);
  const [sides, setSides] = useState<Partial<Record<Name, Side>>>({});
  const open = clashing.filter((name) => sides[name] === undefined);
  const patch = Object.fromEntries(
    Object.entries(mine).filter(([name, value]) => value !== current[name as Name] && sides[name as Name] !== 'theirs'),
  );
  const onlyMine = Object.keys(mine).filter((name) => !theirs.includes(name as Name)) as Name[];
  const onlyTheirs = theirs.filter((name) => !(name in mine));
  return (
    <dialog ref={dialog} className="conflict" aria-labelledby="conflict" onCancel={() => decide(null)}>
      <h2 id="conflict">Somebody has saved this product while you edited it</h2>
      <p>Nothing is lost. {clashing.length > 0 ? 'Choose what to keep where you both changed the same field.' : 'Your changes do not touch theirs.'}</p>
      {clashing.map((name) => (
        <fieldset key={name}>
          <legend>{label(name)}</legend>
          <div className="sides">
            {(['mine', 'theirs'] as const).map((side) => (
              <label key={side} className="side">
                <input
                  type="radio"
                  name={`side-${name}`}
                  checked={sides[name] === side}
                  onChange={() => setSides({ ...sides, [name]: side })}
                />
                <span className="who">{side === 'mine' ? 'Yours' : 'Saved meanwhile'}</span>
                <span className="value">{String(side === 'mine' ? mine[name] : current[name])}</span>
              </label>
            ))}
          </div>
          <p className="before">Before: {String(base[name])}</p>
        </fieldset>
      ))}
      {onlyTheirs.length > 0 && <Kept title="Saved meanwhile, stays" names={onlyTheirs} of={current} base={base} />}
      {onlyMine.length > 0 && <Kept title="Yours, will be saved" names={onlyMine} of={mine} base={base} />}
      <div className="actions">
        <button type="button" className="primary" disabled={open.length > 0} onClick={() => decide(patch)}>
          Save
        </button>
        <button type="button" onClick={() => decide(null)}>
          Go on editing
        </button>
      </div>
    </dialog>
  );
}

function Kept({ title, names, of, base }: { title: string; names: Name[]; of: Partial<Draft>; base: Draft }) {
  return (
    <section className="kept">
      <h3>{title}</h3>
      <ul>
        {names.map((name) => (
          <li key={name}>
            {label(name)}: <del>{String(base[name])}</del> <ins>{String(of[name])}</ins>
          </li>
        ))}
      </ul>
    </section>
  );
}

function label(name: Name): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
