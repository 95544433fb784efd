import { useEffect, useState } from 'react';
import { Detail } from './Detail';
import { List } from './List';
import { SignIn } from './SignIn';
import { Wire } from './Wire';

/** The product that is open stands in the URL, so that it can be linked and the browser's buttons work. */
function useSelected(): [string | null, (id: string | null) => void] {
  const read = () => decodeURIComponent(location.hash.slice(1)) || null;
  const [selected, setSelected] = useState(read);
  useEffect(() => {
    const follow = () => setSelected(read());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return [selected, (id) => void (location.hash = id === null ? '' : encodeURIComponent(id))];
}

export function App() {
  const [selected, select] = useSelected();
  return (
    <div className={selected === null ? 'app' : 'app is-open'}>
      <header className="top">
        <h1>
          <span className="mark" aria-hidden="true">
            ✓
          </span>
          Shelf
        </h1>
        <Wire />
        <SignIn />
      </header>
      <List selected={selected} select={select} />
      <main className="detail">
        {selected === null ? (
          <p className="empty">Choose a product to see and edit it.</p>
        ) : (
          <Detail key={selected} id={selected} close={() => select(null)} />
        )}
      </main>
    </div>
  );
}
