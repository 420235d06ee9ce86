/** What went wrong and what to do; `retry` adds a button. */
export function Problem({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div class="problem" role="alert">
      <p>{message}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
