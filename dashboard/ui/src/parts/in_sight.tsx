import { Component, type ComponentChildren, createRef } from "preact";

/** How often what nobody sees is drawn: it may be found by a search, or read out. */
const UNSEEN_MS = 5_000;

interface Props {
  class: string;
  label: string;
  /** What is drawn anew at once wherever it is, when one of these is another. */
  because: readonly unknown[];
  children: () => ComponentChildren;
}

/** A part of a long page, drawn anew with all that is live only while it can be seen. */
export class InSight extends Component<Props> {
  private place = createRef<HTMLElement>();
  private seen = true;
  private drawnAt = 0;
  private watching: IntersectionObserver | null = null;

  override componentDidMount(): void {
    this.watching = new IntersectionObserver(
      (entries) => {
        const before = this.seen;
        this.seen = entries[entries.length - 1]?.isIntersecting ?? true;
        if (this.seen && !before) this.forceUpdate();
      },
      { rootMargin: "200px" },
    );
    if (this.place.current) this.watching.observe(this.place.current);
  }

  override shouldComponentUpdate(next: Props): boolean {
    if (this.seen || Date.now() - this.drawnAt >= UNSEEN_MS) return true;
    return next.because.some((one, n) => one !== this.props.because[n]);
  }

  override componentWillUnmount(): void {
    this.watching?.disconnect();
  }

  override render(): ComponentChildren {
    this.drawnAt = Date.now();
    const { class: name, label, children } = this.props;
    return (
      <article ref={this.place} class={name} aria-label={label}>
        {children()}
      </article>
    );
  }
}
