#include "out/out.h"
#include "study/study.h"

#define AT(field) offsetof(struct study_result, field)

const struct study_figure study_figures[] = {
	{ "load_wh", "Load", "Wh", 1, AT(load_wh) },
	{ "pv_wh", "PV", "Wh", 1, AT(pv_wh) },
	{ "import_wh", "Import", "Wh", 1, AT(import_wh) },
	{ "export_wh", "Export", "Wh", 1, AT(export_wh) },
	{ "charge_wh", "Charge", "Wh", 1, AT(charge_wh) },
	{ "discharge_wh", "Discharge", "Wh", 1, AT(discharge_wh) },
	{ "peak_import_w", "Peak import", "W", 1, AT(peak_import_w) },
	{ "peak_export_w", "Peak export", "W", 1, AT(peak_export_w) },
	{ "self_consumption_percent", "Self-consumption", "%", 1, AT(self_consumption_percent) },
	{ "autarky_percent", "Autarky", "%", 1, AT(autarky_percent) },
	{ "cycles", "Full cycles", NULL, 1, AT(cycles) },
	{ "soc_end_percent", "SoC at the end", "%", 1, AT(soc_end_percent) },
	{ "energy_eur", "Cost of energy", "EUR", 2, AT(energy_eur) },
	{ "capacity_eur", "Cost of peaks", "EUR", 2, AT(capacity_eur) },
	{ "cost_eur", "Cost", "EUR", 2, AT(cost_eur) },
	{ "saving_eur", "Saved against off", "EUR", 2, AT(saving_eur) },
};
const size_t study_figure_count = COUNT_OF(study_figures);

bool study_figure_counts(const struct study *s, const struct study_figure *f)
{
	return s->tariff->capacity_eur_kw > 0 || (!str_eq(f->key, "energy_eur") && !str_eq(f->key, "capacity_eur"));
}

/* What differs within a study; of off no battery is told, since it rests. */
void study_case_words(const struct study *s, size_t i, struct buf *b)
{
	static const struct { size_t at; const char *before, *unit; } parts[] = {
		{ offsetof(struct study_case, battery_wh), "", "Wh" },
		{ offsetof(struct study_case, battery_w), "", "W" },
		{ offsetof(struct study_case, limits.reserve_percent), "reserve ", "%" },
	};
	const struct study_case *c = &s->results[i].of;

	buf_adds(b, site_mode_name(c->mode));
	for (size_t k = 0; k < COUNT_OF(parts) && c->mode != SITE_MODE_OFF; k++) {
		double mine = *(const double *)((const char *)c + parts[k].at);
		char text[32];
		bool differs = false;

		for (size_t j = 0; j < s->count; j++)
			differs |= s->results[j].of.mode != SITE_MODE_OFF &&
				   *(const double *)((const char *)&s->results[j].of + parts[k].at) != mine;
		if (differs)
			buf_addf(b, ", %s%s", parts[k].before, out_quantity(mine, parts[k].unit, 1, text));
	}
}
