import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  open: boolean;
  title: string;
  onClose: () => void;
  /** Buttons at the end, beside "Close". */
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** A question or a sheet in front of the page; the browser keeps the focus inside. */
export function Dialog({ open, title, onClose, actions, children }: Props) {
  const place = useRef<HTMLDialogElement>(null);
  const id = useId();
  // before the next key press: one dialog's Escape must not be taken by another that is gone
  useLayoutEffect(() => {
    const dialog = place.current;
    if (open && dialog && !dialog.open) dialog.showModal();
    if (!open && dialog?.open) dialog.close();
  }, [open]);
  // Who is gone while it is open is closed all the same: that gives the focus back.
  const gone = useRef(false);
  useLayoutEffect(() => {
    const dialog = place.current;
    return () => {
      gone.current = true;
      dialog?.close();
    };
  }, []);
  // A text that was marked as far as beyond the edge has begun inside.
  const began = useRef<EventTarget | null>(null);
  const outside = (event: MouseEvent): void => {
    if (event.target === place.current && began.current === place.current) onClose();
  };
  return (
    <dialog
      ref={place}
      class="dialog"
      aria-labelledby={id}
      onClose={() => !gone.current && onClose()}
      onPointerDown={(event) => (began.current = event.target)}
      onClick={outside}
    >
      {open && (
        <div class="dialog-body">
          <h2 id={id}>{title}</h2>
          {children}
          <div class="dialog-foot">
            <button type="button" class="quiet" onClick={onClose}>
              Close
            </button>
            {actions}
          </div>
        </div>
      )}
    </dialog>
  );
}
