import type { ComponentChildren } from "preact";

/** Nothing to show: why, and as children what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty-state">
      <p class="empty-title">{title}</p>
      {children && <p class="empty">{children}</p>}
    </div>
  );
}
