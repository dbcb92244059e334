// The parts of TanStack Table that the page sorts, filters and opens rows with.
export {
  columnFilteringFeature, constructTable, createExpandedRowModel, createFilteredRowModel, createSortedRowModel,
  rowExpandingFeature, rowSortingFeature, tableFeatures,
} from "@tanstack/table-core";
export { storeReactivityBindings } from "@tanstack/table-core/store-reactivity-bindings";
