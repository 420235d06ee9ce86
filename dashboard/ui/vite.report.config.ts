import { defineConfig } from "vite";

// The page of a report: one script and one style sheet, which `dashboard.build_ui` puts into it.
export default defineConfig({
  base: "./",
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
