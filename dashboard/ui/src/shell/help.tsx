import { allKeys } from "../keys";
import { Dialog } from "../parts/dialog";

const EVERYWHERE = [
  ["Tab, Shift Tab", "Go through a page's controls"],
  ["↑ ↓, Enter", "In a table: go through rows, open one"],
  ["← →", "In a chart: move the cursor, with Shift faster"],
  ["+ −", "In a chart: zoom in on the cursor, out again"],
  ["Esc", "Close what is open"],
] as const;

/** Which keys there are. */
export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} title="Keys" onClose={onClose}>
      <table class="keys">
        <caption class="hidden">Keys and what they do</caption>
        <tbody>
          {open &&
            [...allKeys().map((key) => [key.keys, key.does] as const), ...EVERYWHERE].map(
              ([keys, does]) => (
                <tr key={keys + does}>
                  <th scope="row">
                    <kbd>{keys}</kbd>
                  </th>
                  <td>{does}</td>
                </tr>
              ),
            )}
        </tbody>
      </table>
    </Dialog>
  );
}
