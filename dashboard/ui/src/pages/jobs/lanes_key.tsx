/** What the bars mean; each is told by its pattern or sign, too. */
export function LanesKey() {
  return (
    <ul class="lanes-key" aria-label="What the bars mean">
      <li>
        <span class="sample lane-turn" aria-hidden="true" /> waits for its turn
      </li>
      <li>
        <span class="sample lane-load" aria-hidden="true" /> loads models
      </li>
      <li>
        <span class="sample lane-run" aria-hidden="true" /> runs
      </li>
      <li>
        <span class="sign" aria-hidden="true">
          ◇
        </span>{" "}
        cached
      </li>
      <li class="slow">
        <span class="sample lane-run" aria-hidden="true" /> ▲ over 5 s, or slower than 95 % of its runs
      </li>
      <li>
        <span class="sign" aria-hidden="true">
          ✕
        </span>{" "}
        failed
      </li>
      <li>
        <span class="sign" aria-hidden="true">
          ■
        </span>{" "}
        interrupted
      </li>
    </ul>
  );
}
