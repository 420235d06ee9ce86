import { useRef, useState } from "preact/hooks";

interface Props {
  onFiles: (files: readonly File[]) => void;
  label: string;
  /** A button alone. */
  small?: boolean;
}

/** Takes files that are dropped or chosen. Nothing of them is sent anywhere. */
export function Drop({ onFiles, label, small = false }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const take = (files: FileList | null | undefined): void => {
    setOver(false);
    if (files && files.length > 0) onFiles([...files]);
  };
  const button = (
    <>
      <button type="button" class={small ? "" : "main"} onClick={() => input.current?.click()}>
        {label}
      </button>
      <input
        ref={input}
        class="hidden"
        type="file"
        accept=".json,application/json"
        multiple
        tabIndex={-1}
        aria-label={label}
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = ""; // the same file may be chosen again
        }}
      />
    </>
  );
  if (small) return <span>{button}</span>;
  return (
    <div
      class={over ? "drop-zone over" : "drop-zone"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        take(event.dataTransfer?.files);
      }}
    >
      <p>Drop a .perf.json here, or two to compare them.</p>
      {button}
      <p class="muted small">Files stay in this browser: nothing is uploaded.</p>
    </div>
  );
}
