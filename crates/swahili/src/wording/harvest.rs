//! Harvests: how much of what was harvested, why, and what it costs.

use super::phrase::{finite, join, sentence};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::{Harvest, Matter};
use crate::verb::{Subject, Tense};

impl Harvest {
    /// The harvest in one or two sentences.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let (crop, season, cause) = (self.crop.0, self.season, self.cause());
        let town = self.town.phrase();
        let price = format!("shilingi {} kwa kilo", self.price);
        let change = |stem| finite(stem, Subject::Third(Class::C9), self.tense(), false, None);
        let trend = format!("{} hadi", change(if self.good { "shuka" } else { "panda" }));
        let harvested = self.farmers_harvested();
        // Without a farmer in the sentence "they" would be nobody.
        let farmers_cause = if cause.starts_with("wali") { format!("wakulima {cause}") } else { cause.to_owned() };
        let of_crop = join(&["magunia", self.quantity, if self.good { "" } else { "tu" }, "ya", crop]);
        let farmers = format!("wakulima wa {}", self.town.name);
        let sold = || join(&["bei ya", crop, &town, &trend, &price]);
        let shape = choices.below("shape", 4);
        let body = match (self.matter, shape) {
            (Matter::Price, 0) => join(&[season, &sold(), "kwa sababu", &farmers_cause]),
            (Matter::Price, 1) => {
                join(&["ripoti ya kilimo inaonyesha kuwa", &sold(), season, "kwa sababu", &farmers_cause])
            }
            (Matter::Price, 2) => join(&["kwa kuwa", &format!("{farmers_cause},"), &sold(), season]),
            (Matter::Price, _) => join(&["wafanyabiashara wanathibitisha kwamba", season, &sold()]),
            (Matter::Yield, 0) => join(&[&farmers, &harvested, &of_crop, season, "kwa sababu", cause]),
            (Matter::Yield, 1) => join(&["kwa kuwa", &format!("{cause},"), &farmers, &harvested, &of_crop, season]),
            (Matter::Yield, 2) => {
                let stem = if self.good { "ongezeka" } else { "pungua" };
                let changed = finite(stem, Subject::Third(Class::C6), self.tense(), false, None);
                let to = format!("hadi magunia {}", self.quantity);
                join(&[season, "mavuno ya", crop, &town, &changed, &to, "kwa sababu", &farmers_cause])
            }
            (Matter::Yield, _) => {
                let year = if self.good { "na wengi wanafurahia mavuno hayo" } else { "na wengi wana wasiwasi" };
                let reaped = finite("vunwa", Subject::Third(Class::C6), self.tense(), false, None);
                join(&[&of_crop, &reaped, "na", &farmers, &format!("{season},"), year])
            }
            (Matter::Both, 0 | 1) => format!(
                "{} {}",
                sentence(&join(&[&farmers, &harvested, &of_crop, season])),
                sentence(&join(&["bei yake", &trend, &price]))
            ),
            (Matter::Both, _) => {
                let chair = "mwenyekiti wa ushirika anathibitisha kwamba";
                let sold = join(&["na bei yake", &trend, &price]);
                join(&[chair, &farmers, &harvested, &of_crop, &format!("{season},"), &sold])
            }
        };
        sentence(&body)
    }

    /// "Have harvested", of the farmers.
    fn farmers_harvested(&self) -> String {
        finite("vuna", Subject::Third(Class::C2), self.tense(), false, None)
    }

    /// Words a conclusion.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let (crop, class) = *self.crop;
        let season = self.season;
        let town = self.town.phrase();
        let shape = choices.below("shape", 4);
        let does = |stem, class| finite(stem, Subject::Third(class), self.tense(), false, None);
        let (fell_or_rose, more_or_less) =
            if self.good { ("shuka", "pesa kidogo zaidi") } else { ("panda", "pesa nyingi zaidi") };
        let price = match self.matter {
            Matter::Yield => false,
            Matter::Price => true,
            Matter::Both => choices.chance("price", 50),
        };
        let body = match (price, shape) {
            (true, 0) => {
                let changed = does(if self.good { "pungua" } else { "ongezeka" }, Class::C9);
                join(&["bei ya", crop, &town, &changed, season])
            }
            (true, 1) => join(&[season, "gharama ya", crop, &town, &does(fell_or_rose, Class::C9)]),
            (true, 2) => {
                let price = format!("shilingi {}", self.price);
                join(&["kilo moja ya", crop, &does("uzwa", Class::C9), "kwa", &price, &town])
            }
            (true, _) => join(&["wanunuzi wa", crop, &town, &does("lipa", Class::C2), more_or_less, season]),
            (false, 0) => join(&["wakulima wa", self.town.name, &self.farmers_harvested(), crop, season]),
            (false, 1) => {
                let were = if self.tense() == Tense::Past { "yalikuwa" } else { "ni" };
                join(&["mavuno ya", crop, &town, were, if self.good { "mazuri" } else { "madogo" }, season])
            }
            (false, 2) => join(&["wakulima", &does("pata", Class::C2), "magunia", self.quantity, "ya", crop, &town]),
            (false, _) => {
                let harvested = does("vunwa", class);
                join(&[crop, &harvested, &town, season])
            }
        };
        sentence(&body)
    }
}
