import { defineConfig } from "vite";
import { pageStyles } from "./page_styles";

// The page of a report: one script and one style sheet, which `dashboard.build_ui` puts into it.
export default defineConfig({
  base: "./",
  plugins: [pageStyles()],
  build: {
    outDir: "../report",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    rolldownOptions: { input: "report.html" },
  },
});
